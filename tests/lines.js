// The child's side of tests/children.py: a line of JSON asks {id, op, ...}, a line answers {id, result} or {id, error}.
// Answers come in any order: an operation may be a promise for as long as it likes.

const readline = require("readline");

const ERROR_LENGTH_MAX = 2000;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

exports.serve = (operations, end = () => {}) => {
  readline.createInterface({ input: process.stdin }).on("line", async (text) => {
    const { id, op, ...fields } = JSON.parse(text);
    try {
      say({ id, result: (await operations[op](fields)) ?? null });
    } catch (error) {
      say({ id, error: String(error).slice(0, ERROR_LENGTH_MAX) });
    }
  }).on("close", async () => {
    await end();
    process.exit(0);
  });
};
