-- Says which media worker carries a room, and moves the room when its worker is dead.
-- KEYS 1 room's worker (string)
-- ARGV 1 generation (not compared: a lost placement is made anew)   2 worker that is known to be dead, or empty
--      3 worker to take the room when nobody has it   4 lifetime (ms)
-- Returns the worker that has the room now.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then
  return holder
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return ARGV[3]
