/** The endpoints and the socket of an agent, judged by the AWS CLI 2 of Debian and the AWS SDK for JavaScript. */

import { AWS_CLI, awsSdkForJavaScript } from './endpoint-judges.js'
import { describeEndpoints } from './endpoints.js'

describe('holdfast serve', () => {
  describeEndpoints({
    container: [
      AWS_CLI,
      awsSdkForJavaScript('fromHttp'),
      awsSdkForJavaScript('fromContainerMetadata'),
      awsSdkForJavaScript('fromNodeProviderChain'),
    ],
    imds: [awsSdkForJavaScript('fromInstanceMetadata')],
    socket: [AWS_CLI, awsSdkForJavaScript('fromNodeProviderChain')],
  })
})
