/** The endpoints of an agent, judged by the AWS CLI 2 of Debian and the AWS SDK for JavaScript. */

import { AWS_CLI, awsSdkForJavaScript } from './endpoint-judges.js'
import { describeEndpoints } from './endpoints.js'

describe('the endpoints of holdfast serve', () => {
  describeEndpoints(
    [
      AWS_CLI,
      awsSdkForJavaScript('fromHttp'),
      awsSdkForJavaScript('fromContainerMetadata'),
      awsSdkForJavaScript('fromNodeProviderChain'),
    ],
    [awsSdkForJavaScript('fromInstanceMetadata')],
  )
})
