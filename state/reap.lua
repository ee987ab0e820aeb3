-- Removes from a room all connections of a node that was given up, and bars that node from writing to it.
-- Who is gone stays listed until the reaper has told the room, so that another can finish its work.
-- KEYS 1 members   2 profiles   3 counts   4 held   5 fences   6 gone (set of users)
--      7 holders
-- ARGV 1 generation   2 node   3 token   4 how long the fence and the list stand (ms)
-- Returns the users that have no connection left.
local held = redis.call('HGETALL', KEYS[4])
for index = 2, #held, 2 do
  local user = held[index]
  if redis.call('HINCRBY', KEYS[3], user, -1) <= 0 then
    redis.call('HDEL', KEYS[3], user)
    redis.call('HDEL', KEYS[2], user)
    redis.call('ZREM', KEYS[1], user)
    redis.call('SADD', KEYS[6], user)
  end
end
redis.call('DEL', KEYS[4])
redis.call('SREM', KEYS[7], ARGV[2] .. ':' .. ARGV[3])
redis.call('HSET', KEYS[5], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[5], ARGV[4])
redis.call('PEXPIRE', KEYS[6], ARGV[4])
local gone = redis.call('SMEMBERS', KEYS[6])
table.sort(gone)
return gone
