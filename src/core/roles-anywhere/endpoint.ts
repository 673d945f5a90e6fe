/**
 * Where CreateSession is asked: AWS's partitions with the host names of IAM Roles Anywhere in each, and the
 * rules for an endpoint that the user names instead. Whether a region really offers the service, or a FIPS
 * host of it, is left to the DNS.
 * @see https://docs.aws.amazon.com/general/latest/gr/rolesanywhere.html
 */

import { HoldfastError } from '../errors.js'

/** A group of regions with accounts, ARNs and host names of its own. */
export interface Partition {
  /** As it stands in ARNs: `aws`, `aws-cn`, … */
  readonly name: string
  readonly dnsSuffix: string
  readonly dualStackDnsSuffix: string
  readonly regionPattern: RegExp
}

const PARTITIONS: readonly Partition[] = [
  {
    name: 'aws',
    dnsSuffix: 'amazonaws.com',
    dualStackDnsSuffix: 'api.aws',
    regionPattern: /^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$/,
  },
  {
    name: 'aws-cn',
    dnsSuffix: 'amazonaws.com.cn',
    dualStackDnsSuffix: 'api.amazonwebservices.com.cn',
    regionPattern: /^cn-\w+-\d+$/,
  },
  {
    name: 'aws-us-gov',
    dnsSuffix: 'amazonaws.com',
    dualStackDnsSuffix: 'api.aws',
    regionPattern: /^us-gov-\w+-\d+$/,
  },
  {
    name: 'aws-eusc',
    dnsSuffix: 'amazonaws.eu',
    dualStackDnsSuffix: 'api.amazonwebservices.eu',
    regionPattern: /^eusc-de-\w+-\d+$/,
  },
  {
    name: 'aws-iso',
    dnsSuffix: 'c2s.ic.gov',
    dualStackDnsSuffix: 'api.aws.ic.gov',
    regionPattern: /^us-iso-\w+-\d+$/,
  },
  {
    name: 'aws-iso-b',
    dnsSuffix: 'sc2s.sgov.gov',
    dualStackDnsSuffix: 'api.aws.scloud',
    regionPattern: /^us-isob-\w+-\d+$/,
  },
  {
    name: 'aws-iso-e',
    dnsSuffix: 'cloud.adc-e.uk',
    dualStackDnsSuffix: 'api.cloud-aws.adc-e.uk',
    regionPattern: /^eu-isoe-\w+-\d+$/,
  },
  {
    name: 'aws-iso-f',
    dnsSuffix: 'csp.hci.ic.gov',
    dualStackDnsSuffix: 'api.aws.hci.ic.gov',
    regionPattern: /^us-isof-\w+-\d+$/,
  },
]

/** The partition that has `region`, or undefined if the name fits none. */
export function findPartition(region: string): Partition | undefined {
  return PARTITIONS.find(({ regionPattern }) => regionPattern.test(region))
}

/** Which of the service's own host names to use. */
export interface EndpointVariant {
  /** For example `eu-central-1`. */
  readonly region: string
  /** FIPS 140 validated host. */
  readonly fips?: boolean | undefined
  /** Host reachable over IPv4 and IPv6. */
  readonly dualstack?: boolean | undefined
}

/**
 * The service's own endpoint in a region.
 * @throws HoldfastError USAGE if no partition has such a region
 */
export function rolesAnywhereEndpoint({ region, fips = false, dualstack = false }: EndpointVariant): URL {
  const partition = findPartition(region)
  if (!partition) throw unknownRegion(region)
  const service = fips ? 'rolesanywhere-fips' : 'rolesanywhere'
  const suffix = dualstack ? partition.dualStackDnsSuffix : partition.dnsSuffix
  return new URL(`https://${service}.${region}.${suffix}`)
}

function unknownRegion(region: string): HoldfastError {
  return new HoldfastError(
    'USAGE',
    `${JSON.stringify(region.slice(0, 64))} is not the name of an AWS region that is known here; correct --region or the trust anchor ARN, or name the endpoint with --endpoint`,
  )
}

/** All that can say where the endpoint is. */
export interface EndpointChoice extends EndpointVariant {
  /** Value of `--endpoint`, or of the configuration. */
  readonly endpoint?: string | undefined
  /** Read for AWS_ENDPOINT_URL_ROLESANYWHERE and AWS_ENDPOINT_URL; empty values count as absent. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * The endpoint to use, as scheme, host and port: the one named by flag, else by AWS_ENDPOINT_URL_ROLESANYWHERE,
 * else by AWS_ENDPOINT_URL, else the service's own. Its `host` is what the Host header must say.
 * @throws HoldfastError USAGE
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
 */
export function chooseEndpoint(choice: EndpointChoice): URL {
  // Beside an endpoint of the user's own any region will do, but it still becomes part of what is signed.
  if (!/^[a-z0-9-]{1,64}$/.test(choice.region)) throw unknownRegion(choice.region)
  const named = findNamedEndpoint(choice)
  if (!named) return rolesAnywhereEndpoint(choice)
  const flag = choice.fips ? '--use-fips-endpoint' : choice.dualstack ? '--use-dualstack-endpoint' : undefined
  if (flag) {
    throw new HoldfastError(
      'USAGE',
      `${flag} chooses one of AWS's own endpoints, and ${named.origin} names another; drop one of the two`,
    )
  }
  return parseEndpoint(named.text, named.origin)
}

/** The endpoint that the user named, and by what. */
export function findNamedEndpoint({
  endpoint,
  env,
}: Pick<EndpointChoice, 'endpoint' | 'env'>): { text: string; origin: string } | undefined {
  if (endpoint !== undefined) return { text: endpoint, origin: '--endpoint' }
  for (const origin of ['AWS_ENDPOINT_URL_ROLESANYWHERE', 'AWS_ENDPOINT_URL']) {
    const text = env[origin]
    if (text) return { text, origin }
  }
  return undefined
}

/**
 * Reads an endpoint that the user named. A path is refused: the signature covers the path, the service has
 * CreateSession at `/sessions` only, and a gateway that strips a prefix breaks what was signed.
 * @param origin the flag or variable it comes from, for error messages
 * @throws HoldfastError USAGE
 */
export function parseEndpoint(text: string, origin: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  // The text itself may hold a password, so no message repeats it.
  const problem = url ? findEndpointProblem(url, text) : 'is not a URL such as https://host:port'
  if (!url || problem) throw new HoldfastError('USAGE', `the endpoint in ${origin} ${problem}`)
  return url
}

function findEndpointProblem(url: URL, text: string): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https:// or http://'
  if (url.username || url.password) return 'must not hold a user name or password'
  if (/[?#]/.test(text)) return 'must not have a query or fragment'
  if (url.pathname !== '/') {
    return 'must have no path: the service answers at /sessions only, and the path is part of what is signed'
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    return `must begin with https://, since credentials would cross the network in clear to ${url.hostname}`
  }
  return undefined
}

/**
 * True for `localhost`, 127.0.0.0/8 and ::1.
 * @param hostname as a URL has it: addresses normalized, IPv6 in brackets
 */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
