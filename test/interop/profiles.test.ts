/** The profiles of an AWS config file, judged by Debian's AWS CLI and by the AWS SDK for JavaScript. */

import { awsCli, awsSdkForJavaScript } from './judges.js'
import { describeProfiles } from './profiles.js'

describe('a profile with holdfast credential-process', function () {
  this.timeout(60_000)
  describeProfiles([
    awsCli('the AWS CLI 2', ['/usr/bin/aws'], { exports: true }),
    awsSdkForJavaScript('fromProcess'),
    awsSdkForJavaScript('fromIni'),
  ])
})
