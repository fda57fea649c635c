/** Bits that sparse storage needs for a weight that is zero: one in a bitmap that says which are there. */
const bitmapShare = 1 / 32;

/**
 * Bytes of a float32 tensor stored as a bitmap of its non-zero elements and their values; dense where that is smaller.
 * @param count elements @param nonZero elements that are not zero
 */
export const storedBytes = (count: number, nonZero: number): number => Math.min(4 * count, 4 * nonZero + Math.ceil(count / 8));

/** The share of weights that may be there so that their storage takes at most `size` of the dense one. */
export const sharesForStorage = (size: number): number => size - bitmapShare;
