/** How the images of a run can judge its model. Pure: no VS Code. */
import { messageOf } from '../engine/errors.ts';
import type { DataPreview, Metric } from '../engine/protocol.ts';

/** What was found in the images; `problem` says why they can't judge by what the run was to measure, where only agreement with the original is left. */
export interface DataCheck { readonly preview: DataPreview; readonly problem?: string }

/**
 * Looks at the images as the run will. Labels that say nothing of a model's answers (classes of images, of a model that marks objects) leave its agreement with the original.
 * @param previewBy what is found when that is measured; undefined lets the images decide
 * @throws what is wrong with images by which no run can judge
 */
export async function checkData(previewBy: (metric: Metric | undefined) => Promise<DataPreview>, metric: Metric | undefined): Promise<DataCheck> {
  try { return { preview: await previewBy(metric) }; } catch (error) {
    const preview = metric === 'agreement' ? undefined : await previewBy('agreement').catch(() => undefined);
    if (!preview) throw error;
    return { preview, problem: messageOf(error) };
  }
}
