-- Keeps a private event of a user and rings whoever follows the user.
-- KEYS 1 stream
-- ARGV 1 generation   2 event   3 channel   4 events kept   5 how long the stream lives without a new one (ms)
-- Returns the position of the event.
local position = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'e', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('SPUBLISH', ARGV[3], position)
return position
