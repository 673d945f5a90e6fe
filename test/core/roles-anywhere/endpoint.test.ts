import assert from 'node:assert/strict'
import {
  chooseEndpoint,
  type EndpointChoice,
  findPartition,
  isLoopbackHost,
  rolesAnywhereEndpoint,
} from '../../../src/core/roles-anywhere/endpoint.js'

const REGION = 'eu-central-1'

describe('findPartition', () => {
  for (const [region, partition] of [
    ['us-east-1', 'aws'],
    ['eu-central-2', 'aws'],
    ['ap-southeast-7', 'aws'],
    ['mx-central-1', 'aws'],
    ['il-central-1', 'aws'],
    ['cn-northwest-1', 'aws-cn'],
    ['us-gov-west-1', 'aws-us-gov'],
    ['eusc-de-east-1', 'aws-eusc'],
    ['us-iso-east-1', 'aws-iso'],
    ['us-isob-east-1', 'aws-iso-b'],
    ['eu-isoe-west-1', 'aws-iso-e'],
    ['us-isof-south-1', 'aws-iso-f'],
  ] as const) {
    it(`finds ${region} in ${partition}`, () => assert.equal(findPartition(region)?.name, partition))
  }

  it('finds none for a name that no partition has', () => {
    for (const region of [
      '',
      'us-east',
      'us-east-1x',
      'US-EAST-1',
      'moon-north-1',
      'us-east-1.evil.example',
      'us-east-1\n',
    ]) {
      assert.equal(findPartition(region), undefined, region)
    }
  })
})

describe('rolesAnywhereEndpoint', () => {
  for (const [region, plain, dualstack] of [
    ['us-east-1', 'us-east-1.amazonaws.com', 'us-east-1.api.aws'],
    ['cn-north-1', 'cn-north-1.amazonaws.com.cn', 'cn-north-1.api.amazonwebservices.com.cn'],
    ['us-gov-east-1', 'us-gov-east-1.amazonaws.com', 'us-gov-east-1.api.aws'],
    ['eusc-de-east-1', 'eusc-de-east-1.amazonaws.eu', 'eusc-de-east-1.api.amazonwebservices.eu'],
    ['us-iso-east-1', 'us-iso-east-1.c2s.ic.gov', 'us-iso-east-1.api.aws.ic.gov'],
    ['us-isob-east-1', 'us-isob-east-1.sc2s.sgov.gov', 'us-isob-east-1.api.aws.scloud'],
    ['eu-isoe-west-1', 'eu-isoe-west-1.cloud.adc-e.uk', 'eu-isoe-west-1.api.cloud-aws.adc-e.uk'],
    ['us-isof-east-1', 'us-isof-east-1.csp.hci.ic.gov', 'us-isof-east-1.api.aws.hci.ic.gov'],
  ] as const) {
    it(`knows the four hosts of ${region}`, () => {
      const origin = (variant: object) => rolesAnywhereEndpoint({ region, ...variant }).origin
      assert.equal(origin({}), `https://rolesanywhere.${plain}`)
      assert.equal(origin({ fips: true }), `https://rolesanywhere-fips.${plain}`)
      assert.equal(origin({ dualstack: true }), `https://rolesanywhere.${dualstack}`)
      assert.equal(origin({ fips: true, dualstack: true }), `https://rolesanywhere-fips.${dualstack}`)
    })
  }

  it('refuses a region that no partition has', () => {
    assert.throws(() => rolesAnywhereEndpoint({ region: 'moon-north-1' }), {
      code: 'USAGE',
      message: /moon-north-1/,
    })
  })
})

describe('chooseEndpoint', () => {
  const choose = (choice: Partial<EndpointChoice>) => chooseEndpoint({ region: REGION, env: {}, ...choice })
  const env = {
    AWS_ENDPOINT_URL_ROLESANYWHERE: 'https://service.example:8443',
    AWS_ENDPOINT_URL: 'https://all.example',
  }

  it("takes the service's own endpoint if none is named", () => {
    assert.equal(choose({}).host, 'rolesanywhere.eu-central-1.amazonaws.com')
    assert.equal(choose({ fips: true }).host, 'rolesanywhere-fips.eu-central-1.amazonaws.com')
    assert.equal(choose({ env: { AWS_ENDPOINT_URL: '' } }).host, 'rolesanywhere.eu-central-1.amazonaws.com')
  })

  it('prefers the flag, then the variable of the service, then the one of all services', () => {
    assert.equal(choose({ endpoint: 'https://flag.example', env }).host, 'flag.example')
    assert.equal(choose({ env }).host, 'service.example:8443')
    assert.equal(choose({ env: { ...env, AWS_ENDPOINT_URL_ROLESANYWHERE: '' } }).host, 'all.example')
  })

  it("leaves the scheme's own port out of the host, and keeps any other", () => {
    assert.equal(choose({ endpoint: 'https://Flag.Example:443/' }).host, 'flag.example')
    assert.equal(choose({ endpoint: 'http://127.0.0.1:80' }).host, '127.0.0.1')
    assert.equal(choose({ endpoint: 'http://[::1]:8080' }).host, '[::1]:8080')
  })

  it('takes any well-formed region beside an endpoint, and only there', () => {
    assert.equal(choose({ region: 'moon-north-1', endpoint: 'https://a.example' }).host, 'a.example')
    assert.throws(() => choose({ region: 'moon-north-1' }), { code: 'USAGE' })
    assert.throws(() => choose({ region: 'a/b\n', endpoint: 'https://a.example' }), {
      code: 'USAGE',
      message: /^"a\/b\\n"/,
    })
    assert.throws(() => choose({ region: '', endpoint: 'https://a.example' }), { code: 'USAGE' })
  })

  it('refuses FIPS and dual stack beside an endpoint', () => {
    assert.throws(() => choose({ env, fips: true }), {
      code: 'USAGE',
      message: /--use-fips-endpoint .* AWS_ENDPOINT_URL_ROLESANYWHERE/,
    })
    assert.throws(() => choose({ endpoint: 'https://a.example', dualstack: true }), {
      code: 'USAGE',
      message: /--use-dualstack-endpoint .* --endpoint/,
    })
  })

  it('accepts http to a loopback address only', () => {
    for (const host of ['localhost:1', '127.0.0.1:8080', '127.9.9.9', '[::1]:80', '127.1']) {
      assert.equal(choose({ endpoint: `http://${host}` }).protocol, 'http:')
    }
    for (const host of [
      'a.example',
      '10.0.0.1',
      '[::2]',
      '127.0.0.1.example',
      'localhost.example',
      '0.0.0.0',
    ]) {
      assert.throws(
        () => choose({ endpoint: `http://${host}` }),
        { code: 'USAGE', message: /in clear/ },
        host,
      )
    }
  })

  for (const [problem, endpoint, words] of [
    ['an empty text', '', /not a URL/],
    ['a host without a scheme', 'rolesanywhere.example', /not a URL/],
    ['another scheme', 'ftp://a.example', /must begin with https/],
    ['a host and port without a scheme', 'localhost:8080', /must begin with https/],
    ['a path', 'https://a.example/prefix', /no path/],
    ['the path of CreateSession', 'https://a.example/sessions', /no path/],
    ['a query', 'https://a.example/?x', /query/],
    ['a fragment', 'https://a.example#x', /query or fragment/],
    ['a user name', 'https://someone@a.example', /user name/],
    ['a port out of range', 'https://a.example:70000', /not a URL/],
  ] as const) {
    it(`refuses ${problem}`, () =>
      assert.throws(() => choose({ endpoint }), { code: 'USAGE', message: words }))
  }

  it('does not repeat a password', () => {
    assert.throws(
      () => choose({ endpoint: 'https://someone:canary@a.example/canary' }),
      (error: Error) => !error.message.includes('canary'),
    )
  })
})

describe('isLoopbackHost', () => {
  it('knows loopback names and addresses, and nothing else', () => {
    for (const host of ['localhost', '127.0.0.1', '127.255.0.9', '[::1]']) assert(isLoopbackHost(host), host)
    for (const host of ['', '::1', '128.0.0.1', '127.0.0.1.example', 'a.localhost.example'])
      assert(!isLoopbackHost(host), host)
  })
})
