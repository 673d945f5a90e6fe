// Gets credentials from wherever the AWS SDK for Go looks for them by itself.
//
//	judge credentials    prints them as a credential_process would
//	judge caller         prints the access key that STS has seen
//	judge refresh TIME   prints two such keys as a JSON array, seen so many milliseconds apart
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var ctx = context.Background()

func main() {
	configuration, err := config.LoadDefaultConfig(ctx)
	verify(err)
	client := sts.NewFromConfig(configuration)
	switch os.Args[1] {
	case "credentials":
		credentials, err := configuration.Credentials.Retrieve(ctx)
		verify(err)
		printJSON(map[string]any{
			"AccessKeyId":     credentials.AccessKeyID,
			"SecretAccessKey": credentials.SecretAccessKey,
			"SessionToken":    credentials.SessionToken,
			"Expiration":      credentials.Expires,
		})
	case "caller":
		fmt.Println(caller(client))
	case "refresh":
		first := caller(client)
		milliseconds, err := strconv.Atoi(os.Args[2])
		verify(err)
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		printJSON([]string{first, caller(client)})
	}
}

func printJSON(value any) {
	verify(json.NewEncoder(os.Stdout).Encode(value))
}

func caller(client *sts.Client) string {
	identity, err := client.GetCallerIdentity(ctx, nil)
	verify(err)
	_, key, _ := strings.Cut(*identity.UserId, ":")
	return key
}

func verify(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
