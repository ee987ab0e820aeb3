-- What is kept of a client's session, so that it can come back. Written by the connection that owns it.
-- KEYS 1 session
-- ARGV 1 generation   2 owner (connection id)   3 record   4 seconds to keep   5 '1' for a new session
-- Returns 1; 0 when the session belongs to somebody else by now, or is gone.
if ARGV[5] ~= '1' and redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'record', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
