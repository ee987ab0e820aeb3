-- A room as it is now, with its last kept entries.
-- KEYS 1 room   2 log   3 claim
-- ARGV 1 generation   2 number of entries
-- Returns {'ok', epoch, seq, document, {entry, ...}} with the newest entry first; {'missing'}; {'lost'}.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'generation', 'document')
if not held[1] then
  if redis.call('EXISTS', KEYS[3]) == 1 then
    return {'lost'}
  end
  return {'missing'}
end
if held[3] ~= ARGV[1] then
  return {'lost'}
end
local entries = {}
if ARGV[2] ~= '0' then
  for index, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ARGV[2])) do
    entries[index] = entry[2][2]
  end
end
return {'ok', held[1], tonumber(held[2]), held[4], entries}
