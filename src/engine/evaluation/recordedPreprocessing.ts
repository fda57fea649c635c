import { create } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, StringStringEntryProtoSchema } from 'onnx-buf';
import { type Preprocessing, preprocessingOf } from '../data/preprocessing.ts';

type Model = ModelProto & { graph: GraphProto };

/** The key of `ModelProto.metadata_props` under which a written model tells, as JSON, how images were prepared for it. */
const key = 'auto-compress.preprocessing';

/**
 * A model that tells how images were prepared when it was made and judged. Several recipes may serve a compressed model about equally well: one found anew could be another, and the accuracy too.
 * @param recipe absent where tensors are fed as they are
 * @returns the same model, or a shallow copy
 */
export const withPreprocessing = (model: Model, recipe: Preprocessing | undefined): Model =>
  recipe ? { ...model, metadataProps: [...model.metadataProps.filter((entry) => entry.key !== key), create(StringStringEntryProtoSchema, { key, value: JSON.stringify(recipe) })] } : model;

/** The recipe that a model was written with. @throws {InputError} for one that can't be read */
export function recordedPreprocessing({ metadataProps }: Model): Preprocessing | undefined {
  const entry = metadataProps.find((each) => each.key === key);
  return entry && preprocessingOf(entry.value, `"${key}" in the model's metadata (a recipe given with --preprocess is taken instead)`);
}
