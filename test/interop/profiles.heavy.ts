/**
 * The profiles of an AWS config file, judged by boto3 and the AWS CLI 1 of PyPI.
 */

import { installPythonClients, PYTHON } from '../support/python.js'
import { awsCli, boto3 } from './judges.js'
import { describeProfiles } from './profiles.js'

describe('a profile with holdfast credential-process', function () {
  this.timeout(300_000)
  before(installPythonClients)
  describeProfiles([boto3(PYTHON), awsCli('the AWS CLI 1', [PYTHON, '-m', 'awscli'], { exports: false })])
})
