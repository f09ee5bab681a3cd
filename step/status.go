package step

import "context"

func status(ctx context.Context, r *run) error   { return nil }
func plan(ctx context.Context, r *run) error     { return nil }
