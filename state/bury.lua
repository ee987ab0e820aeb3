-- A node was reaped: remember that it was, for as long as it might come back.
-- KEYS 1 dying   2 reaped   3 rooms of the node
-- ARGV 1 generation   2 'node:token'   3 how long to remember (ms)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
redis.call('DEL', KEYS[3])
return {'ok'}
