-- Adds to the boards what transactions count for, each transaction once.
-- KEYS: boards and memories of what was added, in any order (one slot)
-- ARGV: 1 generation (not needed: a lost board is rebuilt), 2 how long a memory is kept in seconds,
--       3 JSON: [[transaction, index of its memory, [[index of a board, member, amount, seconds kept]...]]...]
--         (indexes into KEYS, amounts as text, 0 seconds: for good)
for _, transaction in ipairs(cjson.decode(ARGV[3])) do
    local memory = KEYS[transaction[2]]
    if redis.call('SADD', memory, transaction[1]) == 1 then
        redis.call('EXPIRE', memory, ARGV[2])
        for _, score in ipairs(transaction[3]) do
            redis.call('ZINCRBY', KEYS[score[1]], score[3], score[2])
            if score[4] > 0 then
                redis.call('EXPIRE', KEYS[score[1]], score[4])
            end
        end
    end
end
return 1
