/**
 * Shapes of the API model (2018-05-10) that several operations share: names, ARNs, durations, tags.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_Types.html
 */
import { integer, list, oneOf, string, structure } from './shape.js'

export const resourceName = string({ min: 1, max: 255, pattern: /[ a-zA-Z0-9-_]*/ })
export const uuid = string({ min: 36, max: 36, pattern: /.*[a-f0-9]{8}-([a-z0-9]{4}-){3}[a-z0-9]{12}.*/ })
export const trustAnchorArn = string({
  min: 1,
  max: 1011,
  pattern: /arn:aws(-[^:]+)?:rolesanywhere(:.*){2}(:trust-anchor.*)/,
})
export const profileArn = string({
  min: 1,
  max: 1011,
  pattern: /arn:aws(-[^:]+)?:rolesanywhere(:.*){2}(:profile.*)/,
})
export const roleArn = string({ min: 1, max: 1011, pattern: /arn:aws(-[^:]+)?:iam(:.*){2}(:role.*)/ })
export const anyArn = string({ min: 1, max: 1011 })
export const durationSeconds = integer({ min: 900, max: 43200 })

const tagText = /[ a-zA-Z0-9_.:/=+@-]*/
export const tagKey = string({ min: 1, max: 128, pattern: tagText })
export const tags = list(structure({ key: tagKey, value: string({ max: 256, pattern: tagText }) }), 200)

export const certificateField = oneOf(['x509Subject', 'x509Issuer', 'x509SAN'])
export const mappingRules = list(structure({ specifier: string({ max: 60 }) }))
