# The bucket of the changesets. Nothing in it expires.

resource "aws_s3_bucket" "changesets" {
  bucket = var.bucket
  tags   = var.tags
}

resource "aws_s3_bucket_public_access_block" "changesets" {
  bucket = aws_s3_bucket.changesets.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "changesets" {
  bucket = aws_s3_bucket.changesets.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "changesets" {
  bucket = aws_s3_bucket.changesets.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "changesets" {
  count  = var.versioning ? 1 : 0
  bucket = aws_s3_bucket.changesets.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "changesets" {
  bucket = aws_s3_bucket.changesets.id

  rule {
    id     = "colder-changesets"
    status = "Enabled"

    filter {
      prefix = "${var.prefix}changesets/"
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    dynamic "transition" {
      for_each = var.transitions

      content {
        days          = transition.value.days
        storage_class = transition.value.storage_class
      }
    }
  }
}

# The table of the heads. It has no time to live and no replicas: a head that
# expires takes its chain along, and a last writer that wins loses appends. The
# newest changesets of a packed chain are in its head alone, so that point-in-time
# recovery is always on.

resource "aws_dynamodb_table" "heads" {
  name                        = var.table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "aggregate-id"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "NEW_IMAGE" # a feed is made from it
  tags                        = var.tags

  attribute {
    name = "aggregate-id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}
