/** Where the AWS files are. */

import assert from 'node:assert/strict'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { awsConfigPath, awsCredentialsPath } from '../../src/io/aws-files.js'

describe('awsConfigPath and awsCredentialsPath', () => {
  it('lie in the home', () => {
    assert.equal(awsConfigPath({ HOME: '/h' }), '/h/.aws/config')
    assert.equal(awsCredentialsPath({ HOME: '/h' }), '/h/.aws/credentials')
    assert.equal(awsConfigPath({}), join(homedir(), '.aws/config'))
  })

  it('follow their variables', () => {
    const env = { HOME: '/h', AWS_CONFIG_FILE: '~/c', AWS_SHARED_CREDENTIALS_FILE: '/x/~/k' }
    assert.equal(awsConfigPath(env), '/h/c')
    assert.equal(awsCredentialsPath(env), '/x/~/k')
    assert.equal(awsConfigPath({ HOME: '/h', AWS_CONFIG_FILE: '' }), '/h/.aws/config')
  })
})
