/**
 * The endpoints and the socket of an agent, judged by boto3 of PyPI.
 */

import { installPythonClients, PYTHON } from '../support/python.js'
import { boto3 } from './endpoint-judges.js'
import { describeEndpoints } from './endpoints.js'

describe('holdfast serve', function () {
  this.timeout(300_000)
  before(installPythonClients)
  const judges = [boto3(PYTHON)]
  describeEndpoints({ container: judges, imds: judges, socket: judges })
})
