/**
 * The flags that say which key speaks for which role, shared by every command that gets credentials. Names
 * and meanings are those of AWS's own helper where it has them.
 */

import type { Argv } from 'yargs'
import type { ServedIdentity } from '../core/config/config.js'
import { type Identity, isPkcs11Uri, mergeIdentity } from '../core/config/identity.js'
import type { CredentialProvider } from '../core/credentials.js'
import { HoldfastError } from '../core/errors.js'
import { PRESET_NAMES } from '../core/pkcs11/module-preset.js'
import { createIdentityProvider } from '../identity-provider.js'
import type { Context } from './context.js'

/** Parsed flags: those of an identity, and those about this one run. */
export interface IdentityArguments extends Identity {
  readonly name?: string | undefined
  readonly config?: string | undefined
  readonly verifySsl: boolean
  readonly debug: boolean
  /** False goes without the agent. */
  readonly agent?: boolean | undefined
  readonly agentDir?: string | undefined
}

/** The flags that are fields of an identity, in kebab case. */
export const FLAGS = {
  'pkcs11-uri': { type: 'string', describe: 'RFC 7512 URI of the key and its certificate in a token' },
  'pkcs11-module': {
    type: 'string',
    alias: ['pkcs11-lib', 'module'],
    describe: `PKCS#11 module: ${PRESET_NAMES.join(', ')}; a path, or a file name for the dynamic linker [default: p11-kit-proxy.so]`,
  },
  'allow-uri-module': {
    type: 'boolean',
    describe: 'let module-path or module-name of the URI choose the module',
  },
  certificate: {
    type: 'string',
    describe: 'certificate: a PEM or DER file, also a full chain, or a pkcs11: URI',
  },
  'private-key': { type: 'string', describe: 'private key: a PEM file, or a pkcs11: URI' },
  intermediates: { type: 'string', describe: 'PEM file with intermediate CA certificates' },
  'trust-anchor-arn': { type: 'string', describe: 'ARN of the trust anchor' },
  'profile-arn': { type: 'string', describe: 'ARN of the Roles Anywhere profile' },
  'role-arn': { type: 'string', describe: 'ARN of the role' },
  'session-duration': { type: 'number', describe: 'seconds, 900 to 43200 [default: 3600]' },
  'role-session-name': { type: 'string', describe: 'session name; the profile must allow it' },
  region: { type: 'string', describe: 'signing region [default: that of the trust anchor]' },
  endpoint: { type: 'string', describe: 'service URL instead of the region’s own' },
  'use-fips-endpoint': { type: 'boolean', describe: 'use the FIPS 140 host of the service' },
  'use-dualstack-endpoint': { type: 'boolean', describe: 'use the IPv4 and IPv6 host of the service' },
  'pin-file': { type: 'string', describe: 'file whose first line is the PIN' },
  askpass: { type: 'string', describe: 'program that prints the PIN' },
  'token-timeout': { type: 'number', describe: 'seconds for all that the token does [default: 30]' },
  timeout: { type: 'number', describe: 'seconds for connecting, and again for the answer [default: 30]' },
  'state-dir': { type: 'string', describe: 'folder for the record of tried PINs' },
  'pin-guard': {
    choices: ['on', 'off'],
    describe: 'remember a refused PIN and do not try it again [default: on]',
  },
  cache: { type: 'boolean', describe: 'share one session among all processes of this user' },
} as const

/** Lets anybody on the way answer for the service. */
export const VERIFY_SSL = {
  type: 'boolean',
  default: true,
  describe: 'check the service’s TLS certificate; --no-verify-ssl lets anybody on the way answer',
} as const

/** Says more on stderr. */
export const DEBUG = {
  type: 'boolean',
  default: false,
  describe: 'say on stderr what happens; never a secret',
} as const

/** Adds the flags of an identity to a command, but for those that it has no use for. */
export function addIdentityOptions(argv: Argv, without: readonly string[] = []): Argv {
  return argv
    .options(
      Object.fromEntries(
        Object.entries(FLAGS)
          .filter(([name]) => !without.includes(name))
          .map(([name, flag]) => [
            name,
            { ...flag, requiresArg: !('type' in flag && flag.type === 'boolean') },
          ]),
      ),
    )
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file to read instead of the usual ones',
    })
    .option('verify-ssl', VERIFY_SSL)
    .option('reuse-pin', {
      type: 'boolean',
      hidden: true,
      describe: 'accepted for compatibility; a PIN is always asked for once',
    })
    .option('with-proxy', {
      type: 'boolean',
      hidden: true,
      describe: 'accepted for compatibility; the proxy variables are always honoured',
    })
    .option('debug', DEBUG)
}

/** Adds the flags that say whether and where the agent is asked. */
export function addAgentOptions(argv: Argv): Argv {
  return argv
    .option('agent', {
      type: 'boolean',
      default: true,
      describe: 'ask the agent first; --no-agent goes without it',
    })
    .option('agent-dir', AGENT_DIR)
}

/** Names the folder of the agent's sockets. */
export const AGENT_DIR = {
  type: 'string',
  requiresArg: true,
  describe: 'folder of the agent’s sockets [default: $XDG_RUNTIME_DIR/holdfast, then /run/holdfast]',
} as const

/** True if flags say anything of the identity, beside its name. */
export function namesIdentity(argv: IdentityArguments): boolean {
  return Object.keys(FLAGS).some((name) => argv[toCamelCase(name) as keyof Identity] !== undefined)
}

/**
 * The identity that the command line means: the named one of the configuration, with the flags over it.
 * @throws HoldfastError CONFIG_*, USAGE, URI_INVALID
 */
export async function readIdentity(argv: IdentityArguments, context: Context): Promise<ServedIdentity> {
  const flags = Object.fromEntries(
    Object.keys(FLAGS).map((name) => {
      const field = toCamelCase(name) as keyof Identity
      return [field, argv[field]]
    }),
  ) as Identity
  verifyNumbers(flags)
  if (argv.name === undefined) {
    if (argv.config === undefined) return flags
    throw new HoldfastError('USAGE', '--config is of use only with the name of an identity: give that, too')
  }
  // Not repeated: it may have a PIN.
  if (isPkcs11Uri(argv.name)) throw new HoldfastError('USAGE', 'a PKCS#11 URI is given with --pkcs11-uri')
  const { loadIdentity } = await import('../io/config-file.js')
  const config = await loadIdentity(argv.name, {
    env: context.env,
    uid: context.uid,
    configFile: argv.config,
  })
  return mergeIdentity(flags, config)
}

/** Name of the field that a flag stands for. */
export function toCamelCase(flag: string): string {
  return flag.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

function verifyNumbers({ sessionDuration, tokenTimeout, timeout }: Identity): void {
  for (const [flag, value] of Object.entries({
    'session-duration': sessionDuration,
    'token-timeout': tokenTimeout,
    timeout,
  })) {
    if (value !== undefined && !(Number.isInteger(value) && value > 0)) {
      throw new HoldfastError('USAGE', `--${flag} must be a whole number of seconds`)
    }
  }
}

/**
 * The provider of an identity's credentials, behind a cache if it wants one, with its warnings and debug lines on stderr.
 * @throws HoldfastError USAGE, URI_INVALID, ARN_INVALID
 */
export function createCommandProvider(
  identity: Identity,
  { verifySsl, debug }: IdentityArguments,
  context: Context,
): CredentialProvider {
  const warn = (text: string) => context.stderr(`warning: ${text}`)
  if (!verifySsl) {
    const cached = identity.cache === true ? '; the cache is not used' : ''
    warn(
      `TLS certificates are not checked (--no-verify-ssl): anybody on the way can take the credentials${cached}`,
    )
  }
  const surroundings = {
    ...context,
    verifyTls: verifySsl,
    warn,
    debug: debug ? (text: string) => context.stderr(`debug: ${text}`) : undefined,
  }
  const provider = createIdentityProvider(identity, surroundings)
  // What anybody on the way may have given must not be handed to those who check who gives it.
  if (identity.cache !== true || !verifySsl) return provider
  return async () => {
    const { createCachedProvider } = await import('../agent/cached-provider.js')
    return createCachedProvider(provider, identity, surroundings)()
  }
}
