-- Takes or renews the lease of a node. The time is the server's.
-- KEYS 1 leases   2 dying   3 reaped   4 tokens
-- ARGV 1 generation   2 node   3 token (0: a new one)   4 length of the lease (ms)   5 the node's last token
-- Returns {'ok', token}; {'again', token}: the server had lost the lease; {'fenced'}: it was given up.
local time = redis.call('TIME')
local ends = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4]))
if ARGV[3] == '0' then
  -- A counter that was lost may stand below what this node was given up with: a token never comes again.
  local token = math.max(tonumber(redis.call('GET', KEYS[4]) or '0'), tonumber(ARGV[5])) + 1
  redis.call('SET', KEYS[4], string.format('%.0f', token))
  redis.call('ZADD', KEYS[1], ends, ARGV[2] .. ':' .. token)
  return {'ok', token}
end
local member = ARGV[2] .. ':' .. ARGV[3]
local answer = 'ok'
if not redis.call('ZSCORE', KEYS[1], member) then
  if redis.call('ZSCORE', KEYS[2], member) or redis.call('ZSCORE', KEYS[3], member) then
    return {'fenced'}
  end
  if tonumber(redis.call('GET', KEYS[4]) or '0') < tonumber(ARGV[3]) then
    redis.call('SET', KEYS[4], ARGV[3])
  end
  answer = 'again'
end
redis.call('ZADD', KEYS[1], ends, member)
return {answer, tonumber(ARGV[3])}
