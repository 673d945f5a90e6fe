/**
 * What the build knows about itself. Unbundled, as the tests import it, the code has no build.
 */

declare const __HOLDFAST_VERSION__: string | undefined
declare const __HOLDFAST_BUILD_DATE__: string | undefined

/** Version of the package. */
export const VERSION = typeof __HOLDFAST_VERSION__ === 'string' ? __HOLDFAST_VERSION__ : '0.0.0'

/** When this was built; a clock that is earlier is wrong. */
export const BUILD_DATE = new Date(typeof __HOLDFAST_BUILD_DATE__ === 'string' ? __HOLDFAST_BUILD_DATE__ : 0)
