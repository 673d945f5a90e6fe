/**
 * Notification settings of a trust anchor. They are kept and shown; the emulator notifies nobody.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/customize-notification-settings.html
 */
import { validationError } from '../service-error.js'
import { boolean, integer, list, type Of, oneOf, optional, structure } from '../shape.js'
import type { NotificationSetting } from '../state.js'

const EVENTS = ['CA_CERTIFICATE_EXPIRY', 'END_ENTITY_CERTIFICATE_EXPIRY'] as const
const DEFAULT_THRESHOLD_DAYS = 45

const event = oneOf(EVENTS)
const channel = optional(oneOf(['ALL']))
const threshold = optional(integer({ min: 1, max: 360 }))

export const notificationSettings = list(structure({ enabled: boolean, event, threshold, channel }), 50)
export const notificationSettingKeys = list(structure({ event, channel }), 50)

/**
 * The settings in force: `given` over `current` over the service's defaults, one for each event.
 * @throws ServiceError ValidationException if a setting is enabled without a threshold
 */
export function mergeSettings(
  current: readonly NotificationSetting[],
  given: Of<typeof notificationSettings>,
  account: string,
): NotificationSetting[] {
  return EVENTS.map((event) => {
    const custom = given.find((setting) => setting.event === event)
    if (custom?.enabled === true && custom.threshold === undefined) {
      throw validationError(`The notification setting of ${event} is enabled, so it needs a threshold`)
    }
    if (custom !== undefined) return { ...custom, channel: 'ALL', configuredBy: account }
    return (
      current.find((setting) => setting.event === event) ?? {
        event,
        enabled: true,
        threshold: DEFAULT_THRESHOLD_DAYS,
        channel: 'ALL',
        configuredBy: 'rolesanywhere.amazonaws.com',
      }
    )
  })
}
