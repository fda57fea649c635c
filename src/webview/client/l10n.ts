/** Texts of the browser half: the English text is the key; the host sends the translations. Numbers and percentages follow the editor's language. */
let translations: Readonly<Record<string, string>> = {};
let locale = 'en';

export function useTexts(texts: Readonly<Record<string, string>>, language: string): void { translations = texts; locale = language || 'en'; }

/** Translated text with {0}, {1} ... filled in. */
export const t = (text: string, ...values: (string | number)[]): string =>
  (translations[text] ?? text).replace(/\{(\d+)\}/g, (whole, index: string) => String(values[Number(index)] ?? whole));

export const formatNumber = (value: number, digits = 0): string => value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
/** A fraction as a percentage. */
export const formatPercent = (fraction: number, digits = 1): string => fraction.toLocaleString(locale, { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });
/** A fraction as a percentage, with as many digits as it has. */
export const formatExactPercent = (fraction: number): string => fraction.toLocaleString(locale, { style: 'percent', maximumFractionDigits: 10 });

/** `a, b, and c`. */
export const formatList = (parts: readonly string[]): string => new Intl.ListFormat(locale).format(parts);

const scales = [['G', 1e9], ['M', 1e6], ['k', 1e3]] as const;
/** 40,813,184 as 40.8 M. What rounds up to a thousand of a unit is one of the next. */
export function formatCount(value: number): string {
  const scale = scales.find(([, size]) => Math.round(1000 * value / size) >= 1000);
  return scale ? `${formatNumber(value / scale[1], value / scale[1] < 100 ? 1 : 0)} ${scale[0]}` : formatNumber(value);
}
export const formatBytes = (bytes: number): string => (Math.round(bytes / 100) >= 10_000 ? `${formatNumber(bytes / 1e6, 1)} MB` : `${formatNumber(bytes / 1e3, 1)} kB`);

/** 95 as "1 min 35 s", for time left and stage timings. */
export function formatSeconds(seconds: number): string {
  if (seconds < 1) return t('less than 1 s');
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60);
  if (whole < 60) return t('{0} s', formatNumber(seconds, seconds < 9.95 ? 1 : 0));
  return minutes < 60 ? t('{0} min {1} s', minutes, whole % 60) : t('{0} h {1} min', Math.floor(minutes / 60), minutes % 60);
}
