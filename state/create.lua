-- Opens a room, or reopens one that was closed.
-- KEYS 1 room   2 stream   3 log   4 claim
-- ARGV 1 generation   2 epoch of the closed room that may be replaced (empty: none)
--      3 new epoch   4 document   5 channel   6 message that the room was reopened
-- Returns {'ok'} or {'exists'}.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if (epoch and epoch ~= ARGV[2]) or (not epoch and redis.call('EXISTS', KEYS[4]) == 1) then
  return {'exists'}
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'seq', '0', 'generation', ARGV[1], 'document', ARGV[4])
redis.call('SPUBLISH', ARGV[5], ARGV[6])
return {'ok'}
