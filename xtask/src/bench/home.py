"""Makes an empty home in the AWS of an endpoint: the table, the bucket and the queues that the template names.

Arguments: endpoint, the path of the template, the name of the home.
"""

import re
import sys

from botocore.config import Config
from botocore.session import get_session

endpoint, template, home = sys.argv[1:]
session = get_session()


def client(service):
    return session.create_client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}),
    )


def key(attribute, kind):
    return {"AttributeName": attribute, "KeyType": kind}


client("dynamodb").create_table(
    TableName=f"kintsugi-{home}",
    BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "by1", "by2")],
    KeySchema=[key("pk", "HASH"), key("sk", "RANGE")],
    GlobalSecondaryIndexes=[
        {
            "IndexName": index,
            "KeySchema": [key(index, "HASH"), key("sk", "RANGE")],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        for index in ("by1", "by2")
    ],
)
client("s3").create_bucket(Bucket=f"kintsugi-{home}")
names = re.findall(r"QueueName: !Sub kintsugi-\$\{HomeName\}-(\S+)", open(template, encoding="utf-8").read())
sqs = client("sqs")
for name in names:
    sqs.create_queue(QueueName=f"kintsugi-{home}-{name}")
print(len(names))
