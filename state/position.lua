-- Where a room stands.
-- KEYS 1 room
-- ARGV 1 generation
-- Returns {'ok', epoch, seq}; {'missing'}; {'lost'}.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'generation')
if not held[1] then
  return {'missing'}
end
if held[3] ~= ARGV[1] then
  return {'lost'}
end
return {'ok', held[1], tonumber(held[2])}
