import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.services.sts.StsClient;

/**
 * Gets credentials from wherever the AWS SDK for Java looks for them by itself.
 *
 * <pre>
 * Judge credentials    prints them as a credential_process would
 * Judge caller         prints the access key that STS has seen
 * Judge refresh TIME   prints two such keys as a JSON array, seen so many milliseconds apart
 * </pre>
 */
final class Judge {
    public static void main(String[] args) throws InterruptedException {
        try (DefaultCredentialsProvider provider = DefaultCredentialsProvider.builder().build();
                StsClient client = StsClient.builder().credentialsProvider(provider).build()) {
            System.out.println(switch (args[0]) {
                case "credentials" -> format((AwsSessionCredentials) provider.resolveCredentials());
                case "caller" -> caller(client);
                case "refresh" -> {
                    String first = caller(client);
                    Thread.sleep(Long.parseLong(args[1]));
                    yield "[\"%s\",\"%s\"]".formatted(first, caller(client));
                }
                default -> throw new IllegalArgumentException(args[0]);
            });
        }
    }

    private static String format(AwsSessionCredentials credentials) {
        return """
                {"AccessKeyId":"%s","SecretAccessKey":"%s","SessionToken":"%s","Expiration":"%s"}"""
                .formatted(
                        credentials.accessKeyId(),
                        credentials.secretAccessKey(),
                        credentials.sessionToken(),
                        credentials.expirationTime().orElseThrow());
    }

    private static String caller(StsClient client) {
        return client.getCallerIdentity().userId().split(":")[1];
    }
}
