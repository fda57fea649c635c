import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', 'bench/out/', '.cache/', '**/*.cjs'] },
  ...tseslint.configs.strict,
  { files: ['scripts/*.mjs'], rules: { '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_' }], '@typescript-eslint/no-dynamic-delete': 'off' } },
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off', // bounds are known in numeric loops; noUncheckedIndexedAccess asks for them everywhere
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['error', { max: 420, skipBlankLines: true, skipComments: true }],
      eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error',
    },
  },
);
