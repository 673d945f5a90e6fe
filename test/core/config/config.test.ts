/** Every key and every way to get one wrong, with the place that the message names. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { holdsPin, parseConfig, SETTINGS } from '../../../src/core/config/config.js'
import { HoldfastError } from '../../../src/core/errors.js'

const FILE = '/etc/holdfast/config.toml'
const ANCHOR = 'arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/a1'
const PROFILE = 'arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p1'
const ROLE = 'arn:aws:iam::111122223333:role/edge'
/** What stands in the file: without the origin, which it does not say itself. */
const parse = (text: string) =>
  Object.fromEntries(
    [...parseConfig(text, FILE)].map(([name, { origin, ...identity }]) => {
      assert.equal(origin, `identity "${name}" in ${FILE}`)
      return [name, identity]
    }),
  )

describe('parseConfig', () => {
  it('reads every key', () => {
    const text = `
# the machine in the hall
[identity.edge]
pkcs11-uri = "pkcs11:token=edge;id=%01?pin-source=file:/etc/holdfast/pin"
pkcs11-module = "libsofthsm2.so"
allow-uri-module = true
certificate = "pkcs11:token=edge;type=cert"
private-key = 'keys/edge.pem'
intermediates = "/etc/ssl/chain.pem"
trust-anchor-arn = "${ANCHOR}"
profile-arn = "${PROFILE}"
role-arn = "${ROLE}"
session-duration = 3_600
role-session-name = "edge"
region = "eu-central-1"
endpoint = "https://localhost:8443"
use-fips-endpoint = false
use-dualstack-endpoint = true
pin-file = "../pin"
askpass = "bin/ask"
token-timeout = 20
timeout = 30
state-dir = "/var/lib/holdfast"
pin-guard = "off"
cache = true
on-demand = true
socket-group = "aws"
agent-user = "holdfast"
`
    assert.deepEqual(parse(text), {
      edge: {
        pkcs11Uri: 'pkcs11:token=edge;id=%01?pin-source=file:/etc/holdfast/pin',
        pkcs11Module: 'libsofthsm2.so',
        allowUriModule: true,
        certificate: 'pkcs11:token=edge;type=cert',
        privateKey: '/etc/holdfast/keys/edge.pem',
        intermediates: '/etc/ssl/chain.pem',
        trustAnchorArn: ANCHOR,
        profileArn: PROFILE,
        roleArn: ROLE,
        sessionDuration: 3600,
        roleSessionName: 'edge',
        region: 'eu-central-1',
        endpoint: 'https://localhost:8443',
        useFipsEndpoint: false,
        useDualstackEndpoint: true,
        pinFile: '/etc/pin',
        askpass: '/etc/holdfast/bin/ask',
        tokenTimeout: 20,
        timeout: 30,
        stateDir: '/var/lib/holdfast',
        pinGuard: 'off',
        cache: true,
        onDemand: true,
        socketGroup: 'aws',
        agentUser: 'holdfast',
      },
    })
    for (const { key } of SETTINGS) assert.match(text, new RegExp(`^${key} = `, 'm'))
  })

  it('resolves a module with a slash in it, and leaves the name of one alone', () => {
    assert.deepEqual(
      parse('[identity.a]\npkcs11-module = "./m.so"\n[identity.b]\npkcs11-module = "m.so"\n'),
      {
        a: { pkcs11Module: '/etc/holdfast/m.so' },
        b: { pkcs11Module: 'm.so' },
      },
    )
  })

  it('reads every way in which TOML writes a table', () => {
    const expected = { 'a.b': { region: 'x' }, c: {} }
    for (const text of [
      '[identity."a.b"]\r\nregion = "x"\r\n[identity.c]\r\n',
      'identity."a.b".region = "x"\nidentity.c = {}\n',
      '[identity]\n"a.b".region = "x"\nc = {}\n',
      'identity = { "a.b" = { region = "x" }, c = {} }\n',
      '[identity]\n[identity."a.b"]\nregion = """x"""\n[identity.c]',
    ]) {
      assert.deepEqual(parse(text), expected, text)
    }
  })

  it('reads nothing from an empty file', () => assert.deepEqual(parse('# nothing\n'), {}))

  it('takes a URI over several lines', () => {
    const uri = 'pkcs11:token=edge;\n  id=%01\n'
    assert.equal(parseConfig(`[identity.a]\npkcs11-uri = """${uri}"""`, FILE).get('a')?.pkcs11Uri, uri)
  })

  it('knows no magic names', () => {
    const identities = parseConfig('[identity.__proto__]\nregion = "x"\n[identity.constructor]\n', FILE)
    assert.deepEqual([...identities.keys()], ['__proto__', 'constructor'])
    assert.equal(identities.get('__proto__')?.region, 'x')
    assert.equal(({} as { region?: string }).region, undefined)
  })

  for (const [open, close] of [
    ['[', ']'],
    ['{ a = ', '}'],
  ] as const) {
    it(`refuses 20,000 levels of ${open}${close}`, () => {
      const text = `identity = ${open.repeat(20_000)}1${close.repeat(20_000)}`
      assert.throws(() => parse(text), {
        code: 'CONFIG_INVALID',
        message: `${FILE}:1:1: its arrays or tables are nested too deeply`,
      })
    })
  }

  const refused: [text: string, place: string, message: RegExp][] = [
    ['[identity.a]\nregion = x', '2:10', /Unexpected character/],
    ['[identity.a]\nregion = "x', '2:12', /Unterminated/],
    ['[identity.a]\nregion = "x"\nregion = "y"', '3:1', /multiple times/],
    ['[identity.a]\n[identity.a]\n', '2:11', /multiple times/],
    ['[identity.a]\n\n  pkcs11-url = "x"', '3:3', /unknown key "pkcs11-url" \(did you mean "pkcs11-uri"\?\)/],
    ['[identity.a]\nprofileArn = "x"', '2:1', /did you mean "profile-arn"/],
    ['[identity.a]\nrole_arn = "x"', '2:1', /did you mean "role-arn"/],
    ['[identity.a]\npkcs11-lib = "x"', '2:1', /did you mean "pkcs11-module"/],
    ['[identity.a]\nmodule = "x"', '2:1', /did you mean "pkcs11-module"/],
    ['[identity.a]\nprofile-arn = "arn:x"', '2:15', /: profile-arn: "arn:x" is not of the form/],
    [`[identity.a]\nrole-arn = "${PROFILE}"`, '2:12', /role-arn needs the ARN of an IAM role/],
    ['[identity.a]\nsession-duration = 10', '2:20', /from 900 to 43200/],
    ['[identity.a]\ntoken-timeout = 90000', '2:17', /from 1 to 86400/],
    ['[identity.a]\nfavourite-colour = "x"', '2:1', /unknown key "favourite-colour"$/],
    ['[identity.a]\n"\\u001b" = "x"', '2:1', /unknown key "\\u001b"/],
    ['identity = { a = { q = 1 } }', '1:20', /unknown key "q"/],
    ['region = "x"', '1:1', /unknown key "region"/],
    ['[edge]\nregion = "x"', '1:2', /unknown key "edge".*\[identity\.NAME\]/],
    ['[[identity]]\nregion = "x"', '1:3', /single brackets/],
    ['[[identity.a]]\nregion = "x"', '1:3', /single brackets/],
    ['identity = 1', '1:1', /is a table/],
    ['[identity]\nregion = "x"', '2:1', /is a table/],
    ['[identity.""]', '1:2', /name of an identity/],
    ['[identity."a b"]', '1:2', /name of an identity/],
    ['[identity.-a]', '1:2', /name of an identity/],
    ['[identity."$(id)"]', '1:2', /name of an identity/],
    ['[identity.a]\nregion.x = "x"', '2:1', /region is a value/],
    ['[identity.a.region]', '1:2', /region is a value/],
    ['[identity.a]\nregion = { x = 1 }', '2:1', /region is a value/],
    ['[identity.a]\nregion = 1', '2:10', /region is a text/],
    ['[identity.a]\nregion = ["x"]', '2:10', /region is a text/],
    ['[identity.a]\nregion = 2026-01-01', '2:10', /region is a text/],
    ['[identity.a]\nregion = ""', '2:10', /region is empty/],
    ['[identity.a]\nregion = "a\\nb"', '2:10', /control character/],
    ['[identity.a]\ncertificate = "a\\u0000b"', '2:15', /control character/],
    ['[identity.a]\nsession-duration = "3600"', '2:20', /whole number/],
    ['[identity.a]\nsession-duration = 3600.0', '2:20', /whole number/],
    ['[identity.a]\nsession-duration = 0', '2:20', /whole number/],
    ['[identity.a]\nsession-duration = -5', '2:20', /whole number/],
    ['[identity.a]\ntimeout = 99999999999999999999', '2:11', /whole number/],
    ['[identity.a]\nallow-uri-module = "true"', '2:20', /true or false/],
    ['[identity.a]\nallow-uri-module = 1', '2:20', /true or false/],
    ['[identity.a]\npin-guard = true', '2:13', /text, in quotes/],
    ['[identity.a]\npin-guard = "no"', '2:13', /"on" or "off"/],
    ['[identity.a]\npin-file = "~/pin"', '2:12', /begins with "~"/],
    ['[identity.a]\npkcs11-uri = "token=edge"', '2:14', /pkcs11-uri is not valid: .*position 0/],
    ['[identity.a]\npkcs11-uri = "pkcs11:token=a;;"', '2:14', /position 15/],
    ['[identity.a]\nprivate-key = "pkcs11:id=%1"', '2:15', /private-key is not valid: .*position 10/],
  ]
  for (const [text, place, message] of refused) {
    it(`refuses ${JSON.stringify(text)} at ${place}`, () => {
      assert.throws(
        () => parse(text),
        (error) => {
          assert.ok(error instanceof HoldfastError, String(error))
          assert.equal(error.code, 'CONFIG_INVALID')
          assert.ok(error.message.startsWith(`${FILE}:${place}: `), error.message)
          assert.match(error.message, message)
          return true
        },
      )
    })
  }

  it('never shows a PIN that stands where an ARN should', () => {
    assert.throws(() => parse('[identity.a]\nrole-arn = "pkcs11:token=a?pin-value=4711"'), {
      message: /role-arn: "pkcs11:token=a\?pin-value=…$/,
    })
  })

  it('never shows a PIN that a damaged file holds', () => {
    const pin = 'Zq7canaryPIN'
    const valid = `[identity.a]\npkcs11-uri = "pkcs11:token=a?pin-value=${pin}"\nregion = "x"\n`
    const edit = fc.tuple(
      fc.nat(valid.length),
      fc.nat(2),
      fc.constantFrom('', '"', '\n', '=', '[', '#', '?', ';', '%', "'"),
    )
    let failed = 0
    fc.assert(
      fc.property(edit, ([at, remove, insert]) => {
        const text = valid.slice(0, at) + insert + valid.slice(at + remove)
        fc.pre(text.includes(pin))
        try {
          parse(text)
        } catch (error) {
          failed++
          assert.ok(error instanceof HoldfastError, `${JSON.stringify(text)}: ${error}`)
          assert.equal(error.code, 'CONFIG_INVALID')
          assert.ok(!`${error.message} ${error.cause}`.includes(pin), error.message)
        }
      }),
      { numRuns: 1000 },
    )
    assert.ok(failed > 0)
  })
})

describe('holdsPin', () => {
  it('finds a pin-value in each URI', () => {
    const uri = 'pkcs11:token=a?pin-value=1234'
    for (const key of ['pkcs11Uri', 'certificate', 'privateKey']) assert.ok(holdsPin({ [key]: uri }), key)
  })

  it('finds none elsewhere', () => {
    assert.ok(!holdsPin({}))
    assert.ok(!holdsPin({ pkcs11Uri: 'pkcs11:token=a?pin-source=/etc/pin', privateKey: '/a?pin-value=1' }))
  })
})
