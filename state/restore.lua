-- After lost data: reopens the room from the furthest copy, once the time for claims is over.
-- KEYS 1 room   2 stream   3 log   4 claim
-- ARGV 1 generation   2 epoch, 3 seq of the claim that was read   4 new epoch   5 least age of the claim (ms)
--      6 channel   7 message that the room was reopened   8.. seq and entry of log entries, oldest first
-- Returns {'ok'}; {'current'}: somebody did it; {'changed'}: read the claim again.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'generation')
local claim = redis.call('HMGET', KEYS[4], 'epoch', 'seq', 'since', 'document')
if not claim[1] then
  return {'current'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if claim[1] ~= ARGV[2] or claim[2] ~= ARGV[3] or now - tonumber(claim[3]) < tonumber(ARGV[5]) then
  return {'changed'}
end
local top = tonumber(held[2] or '0')
redis.call('DEL', KEYS[2], KEYS[4])
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'seq', claim[2], 'generation', ARGV[1], 'document', claim[4])
for index = 8, #ARGV, 2 do
  if tonumber(ARGV[index]) > top then
    redis.call('XADD', KEYS[3], ARGV[index] .. '-0', 'm', ARGV[index + 1])
  end
end
redis.call('SPUBLISH', ARGV[6], ARGV[7])
return {'ok'}
