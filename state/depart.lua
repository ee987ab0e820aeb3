-- A connection leaves a room.
-- KEYS 1 members   2 profiles   3 counts   4 held
-- ARGV 1 generation   2 connection   3 user
-- Returns {1 when it was the user's last connection, users in the room}.
if redis.call('HDEL', KEYS[4], ARGV[2]) == 1 then
  if redis.call('HINCRBY', KEYS[3], ARGV[3], -1) <= 0 then
    redis.call('HDEL', KEYS[3], ARGV[3])
    redis.call('HDEL', KEYS[2], ARGV[3])
    redis.call('ZREM', KEYS[1], ARGV[3])
  end
end
local here = redis.call('ZSCORE', KEYS[1], ARGV[3])
return {here and 0 or 1, redis.call('ZCARD', KEYS[1])}
