-- A connection enters a room.
-- KEYS 1 members (sorted set of users)   2 profiles   3 counts of connections by user
--      4 held (connections of this node under this lease)   5 fences   6 holders
-- ARGV 1 generation   2 node   3 token   4 connection   5 user   6 profile   7 capacity
-- Returns {'ok', 1 when it is the user's only connection, users in the room}; {'full'}; {'fenced'}.
local fence = redis.call('HGET', KEYS[5], ARGV[2])
if fence and tonumber(fence) >= tonumber(ARGV[3]) then
  return {'fenced'}
end
local known = redis.call('ZSCORE', KEYS[1], ARGV[5])
if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[7]) then
  return {'full'}
end
local count
if redis.call('HSET', KEYS[4], ARGV[4], ARGV[5]) == 1 then
  count = redis.call('HINCRBY', KEYS[3], ARGV[5], 1)
else
  count = tonumber(redis.call('HGET', KEYS[3], ARGV[5]) or '1')
end
redis.call('SADD', KEYS[6], ARGV[2] .. ':' .. ARGV[3])
redis.call('ZADD', KEYS[1], 0, ARGV[5])
redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])
return {'ok', count == 1 and 1 or 0, redis.call('ZCARD', KEYS[1])}
