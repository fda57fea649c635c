/** How far a bar goes that can't go back: VS Code's progress takes percent to add. Pure: no VS Code. */

/** The increments of a bar for the whole of a run, by the time that it took and still takes; none while that is not known, and where a guess turned out too short. */
export function increments(startMs: number): (nowMs: number, secondsLeft: number | undefined) => { readonly increment?: number } {
  let shown = 0;
  return (nowMs, secondsLeft) => {
    const taken = (nowMs - startMs) / 1000;
    const percent = secondsLeft === undefined || taken <= 0 ? 0 : (100 * taken) / (taken + secondsLeft);
    if (percent <= shown) return {};
    const increment = percent - shown;
    shown = percent;
    return { increment };
  };
}
