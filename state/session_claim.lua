-- Takes a session over: of two rivals the later one wins, and learns whom it has replaced.
-- KEYS 1 session
-- ARGV 1 generation   2 new owner (connection id)   3 seconds to keep
-- Returns {record, owner before}, or {} when there is no such session.
local held = redis.call('HMGET', KEYS[1], 'record', 'owner')
if not held[1] then
  return {}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return held
