# What "ropewalk init --print-policy" prints, with the ARNs of this bucket and table.

resource "aws_iam_policy" "role" {
  for_each = toset(["writer", "reader", "maintainer", "relay", "subscriber"])

  name        = "${var.bucket}-${each.key}"
  description = "What a ${each.key} of the Ropewalk store ${var.bucket}/${var.prefix} needs."
  tags        = var.tags

  policy = templatefile("${path.module}/policies/${each.key}.json", {
    bucket = aws_s3_bucket.changesets.arn
    table  = aws_dynamodb_table.heads.arn
    prefix = var.prefix
  })
}
