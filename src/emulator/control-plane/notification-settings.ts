/**
 * Notification settings of a trust anchor. They are kept and shown; the emulator notifies nobody.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/userguide/customize-notification-settings.html
 */
import { boolean, integer, list, type Of, oneOf, optional, structure } from '../shape.js'
import type { NotificationSetting } from '../state.js'

const EVENTS = ['CA_CERTIFICATE_EXPIRY', 'END_ENTITY_CERTIFICATE_EXPIRY'] as const
const DEFAULT_THRESHOLD_DAYS = 45

export const notificationEvent = oneOf(EVENTS)
export const notificationChannel = oneOf(['ALL'])

export const notificationSettings = list(
  structure({
    enabled: boolean,
    event: notificationEvent,
    threshold: optional(integer({ min: 1, max: 360 })),
    channel: optional(notificationChannel),
  }),
  50,
)

/** The settings in force: `given` over `current` over the service's defaults, one for each event. */
export function mergeSettings(
  current: readonly NotificationSetting[],
  given: Of<typeof notificationSettings>,
  account: string,
): NotificationSetting[] {
  return EVENTS.map((event) => {
    const custom = given.find((setting) => setting.event === event)
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
