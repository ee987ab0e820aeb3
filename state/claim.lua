-- After lost data: offers a copy of the room. The furthest one is kept; what the server still has counts too.
-- Positions compare by epoch (epochs sort by time), then by seq.
-- KEYS 1 room   2 claim (hash: since, epoch, seq, document, entries)
-- ARGV 1 generation   2 epoch (empty: no copy to offer)   3 seq   4 document   5 entries   6 lifetime (ms)
-- Returns {'current', epoch, seq}: the room is in order; {'missing'}: there is no copy anywhere;
--      {'claimed', ms since the first claim, epoch, seq}: the furthest copy so far.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'generation', 'document')
if held[1] and held[3] == ARGV[1] then
  local behind = held[1] == ARGV[2] and tonumber(held[2]) < tonumber(ARGV[3])
  if not behind then
    return {'current', held[1], tonumber(held[2])}
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local best = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'since')
local function offer(epoch, seq, document, entries)
  if epoch and epoch ~= '' then
    if not best[1] or epoch > best[1] or (epoch == best[1] and tonumber(seq) > tonumber(best[2])) then
      redis.call('HSET', KEYS[2], 'epoch', epoch, 'seq', seq, 'document', document, 'entries', entries)
      best[1] = epoch
      best[2] = seq
    end
  end
end
offer(held[1], held[2], held[4], '')
offer(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if not best[1] then
  return {'missing'}
end
if not best[3] then
  best[3] = string.format('%.0f', now)
  redis.call('HSET', KEYS[2], 'since', best[3])
end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return {'claimed', now - tonumber(best[3]), best[1], tonumber(best[2])}
