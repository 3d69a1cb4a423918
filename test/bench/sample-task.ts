/** About what a task of a real board looks like. */
export const sampleTask = (index: number) => ({
  title: `Task ${index}: make the login page remember the address`,
  description: 'When somebody signs in a second time, the form should already know the address. '.repeat(3).trim(),
  priority: 'medium' as const,
  files: [`src/login/page-${index}.ts`],
  dependencies: [],
  estimated_tokens: 12_000,
})
