/** Share of the full learning rate at a step: rises linearly during the warm-up, then falls along half a cosine to zero (Loshchilov and Hutter 2017). */
export function cosineSchedule(step: number, steps: number, warmUpSteps: number): number {
  if (step < warmUpSteps) return (step + 1) / warmUpSteps;
  return 0.5 * (1 + Math.cos(Math.PI * (step - warmUpSteps) / Math.max(1, steps - warmUpSteps)));
}
