-- The commits after a position.
-- KEYS 1 room   2 stream
-- ARGV 1 generation   2 epoch   3 seq   4 how many commits at most
-- Returns {'ok', seq, {commit, ...}}, oldest first, the first of which may begin before the position;
--      {'reset'}: another epoch, or a position ahead of the room; {'missing'}; {'lost'}.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'generation')
if not held[1] then
  return {'missing'}
end
if held[3] ~= ARGV[1] then
  return {'lost'}
end
if held[1] ~= ARGV[2] or tonumber(held[2]) < tonumber(ARGV[3]) then
  return {'reset'}
end
local commits = {}
for index, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])) do
  commits[index] = entry[2][2]
end
return {'ok', tonumber(held[2]), commits}
