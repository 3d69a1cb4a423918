/** With `npm run test:long` also what takes a minute of real nodes runs whose parts have tests of their own. */
export const IS_LONG = process.env.ROOKERY_LONG === '1'
