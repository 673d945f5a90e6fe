/**
 * The endpoints of an agent, judged by boto3 of PyPI.
 */

import { installPythonClients, PYTHON } from '../support/python.js'
import { boto3 } from './endpoint-judges.js'
import { describeEndpoints } from './endpoints.js'

describe('the endpoints of holdfast serve', function () {
  this.timeout(300_000)
  before(installPythonClients)
  describeEndpoints([boto3(PYTHON)], [boto3(PYTHON)])
})
