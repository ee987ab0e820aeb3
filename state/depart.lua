-- A connection leaves a room.
-- KEYS 1 members   2 profiles   3 counts   4 held   5 holders
-- ARGV 1 generation   2 node   3 token   4 connection   5 user
-- Returns {1 when it was the user's last connection, users in the room}.
if redis.call('HDEL', KEYS[4], ARGV[4]) == 1 then
  if redis.call('HINCRBY', KEYS[3], ARGV[5], -1) <= 0 then
    redis.call('HDEL', KEYS[3], ARGV[5])
    redis.call('HDEL', KEYS[2], ARGV[5])
    redis.call('ZREM', KEYS[1], ARGV[5])
  end
  if redis.call('EXISTS', KEYS[4]) == 0 then
    redis.call('SREM', KEYS[5], ARGV[2] .. ':' .. ARGV[3])
  end
end
local here = redis.call('ZSCORE', KEYS[1], ARGV[5])
return {here and 0 or 1, redis.call('ZCARD', KEYS[1])}
