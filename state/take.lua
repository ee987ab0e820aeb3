-- Takes over nodes whose lease ended, and those whose reaper did not finish in time. One caller gets each.
-- KEYS 1 leases   2 dying
-- ARGV 1 generation   2 how long the taker has (ms)   3 how many at most
-- Returns {'node:token', ...}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_then = string.format('%.0f', now + tonumber(ARGV[2]))
local limit = string.format('%.0f', now)
local taken = {}
for _, key in ipairs({KEYS[2], KEYS[1]}) do
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', limit, 'LIMIT', 0, ARGV[3])) do
    taken[#taken + 1] = member
  end
end
for _, member in ipairs(taken) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZADD', KEYS[2], until_then, member)
end
return taken
