// Asks now and then for as long as the part of the page is there.
import { useEffect } from "../vendor/ui.js";

const EVERY_MS = 2000;

// turn(isOver) is awaited before the next begins; isOver() says whether its answer is still wanted.
export function usePolling(turn, inputs) {
  useEffect(() => {
    let over = false, timer = null;
    const next = async () => {
      await turn(() => over);
      if (!over) timer = setTimeout(next, EVERY_MS);
    };
    next();
    return () => { over = true; clearTimeout(timer); };
  }, inputs);
}
