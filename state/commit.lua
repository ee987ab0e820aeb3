-- Compare and append: the one place where a room's document changes.
--
-- Knows nothing of rooms: a document with a position, a stream of commits, a log of kept entries, and answers
-- that are remembered by command. Either everything happens or nothing.
--
-- KEYS 1 room (hash: epoch, seq, generation, document, turns)   2 stream   3 log   4 fences (hash: node -> token)
--      5.. one key per command that is to be answered once
-- ARGV 1 generation of this server process
--      2 epoch, 3 seq that the decision was based on
--      4 node, 5 its fencing token
--      6 seq after the commit (equal to 3: nothing changes but the memory of commands)
--      7 document   8 commit as it goes into the stream and on the channel
--      9 channel   10 commits kept in the stream   11 entries kept in the log
--      12 how long commands are remembered (ms)   13 how long the room lives on (ms; 0: without end)
--      14 how long the stream is kept without a new commit (ms)
--      15 how long a turn is that this node wants, because it was too late too often (ms; 0: none)
--      16 number of log entries, then seq and entry of each
--      then the number of log entries to forget, then their seqs
--      then one answer per command key (empty: not to be remembered)
-- Returns {'ok'}; {'wait', ms}: it is another node's turn; {'fenced'}: the node was given up; {'missing'};
--      {'lost'}: another server process wrote this room last, so writes may be gone;
--      {'known', index, answer, ...}: answered before; {'stale', epoch, seq, document}: decide again.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'generation', 'turns')
local fence = redis.call('HGET', KEYS[4], ARGV[4])
if fence and tonumber(fence) >= tonumber(ARGV[5]) then
  return {'fenced'}
end
if not held[1] then
  return {'missing'}
end
if held[3] ~= ARGV[1] then
  return {'lost'}
end
if #KEYS > 4 then
  local remembered = redis.call('MGET', unpack(KEYS, 5))
  local known = {'known'}
  for index, answer in ipairs(remembered) do
    if answer then
      known[#known + 1] = index
      known[#known + 1] = answer
    end
  end
  if #known > 1 then
    return known
  end
end
local late = held[1] ~= ARGV[2] or held[2] ~= ARGV[3]
local writes = ARGV[6] ~= ARGV[3]
local wish = tonumber(ARGV[15])
if writes and (held[4] or (late and wish > 0)) then
  -- 'turns' is 'end of the first one's turn:node,node,...'; whoever is not the first has to wait.
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local length = wish > 0 and wish or 50
  local ends = now + length
  local nodes = {}
  local place = 0
  if held[4] then
    ends = tonumber(string.match(held[4], '^(%d+):'))
    for node in string.gmatch(string.match(held[4], ':(.*)'), '[^,]+') do
      nodes[#nodes + 1] = node
    end
    if ends <= now then
      table.remove(nodes, 1)
      ends = now + length
    end
  end
  for index, node in ipairs(nodes) do
    if node == ARGV[4] then
      place = index
    end
  end
  if place == 0 and wish > 0 then
    nodes[#nodes + 1] = ARGV[4]
    place = #nodes
  end
  local waits = #nodes > 0 and place ~= 1
  if place == 1 and not late then
    table.remove(nodes, 1)
    ends = now + length
  end
  if #nodes > 0 then
    redis.call('HSET', KEYS[1], 'turns', string.format('%.0f:%s', ends, table.concat(nodes, ',')))
  else
    redis.call('HDEL', KEYS[1], 'turns')
  end
  if waits then
    return {'wait', ends - now}
  end
end
if late then
  return {'stale', held[1], tonumber(held[2]), redis.call('HGET', KEYS[1], 'document')}
end
local at = 17
local kept = tonumber(ARGV[16])
local forget = tonumber(ARGV[at + 2 * kept])
if ARGV[6] ~= ARGV[3] then
  redis.call('HSET', KEYS[1], 'seq', ARGV[6], 'document', ARGV[7])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[10], ARGV[6] .. '-0', 'c', ARGV[8])
  redis.call('PEXPIRE', KEYS[2], ARGV[14])
  for index = 0, kept - 1 do
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[11], ARGV[at + 2 * index] .. '-0', 'm', ARGV[at + 2 * index + 1])
  end
  for index = 1, forget do
    redis.call('XDEL', KEYS[3], ARGV[at + 2 * kept + index] .. '-0')
  end
  if ARGV[13] ~= '0' then
    for index = 1, 3 do
      redis.call('PEXPIRE', KEYS[index], ARGV[13])
    end
  end
  redis.call('SPUBLISH', ARGV[9], ARGV[8])
end
local answers = at + 2 * kept + forget
for index = 5, #KEYS do
  local answer = ARGV[answers + index - 4]
  if answer ~= '' then
    redis.call('SET', KEYS[index], answer, 'PX', ARGV[12])
  end
end
return {'ok'}
